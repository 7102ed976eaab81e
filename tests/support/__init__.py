"""What tests share: worlds, fakes, models, loads. No test module imports another one; what two need stands here."""
