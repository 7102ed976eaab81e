"""Tests of dchat.signer."""
