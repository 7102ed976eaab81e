"""Measuring: a load of signed payments, what a running network does with it, and what each stage costs."""
