"""Options of a node: models (the one definition), loading, and the pages rendered from them."""

from dchat.config.load import CONFIG_FILE, ConfigError, Loaded, load
from dchat.config.models import Config

__all__ = ["CONFIG_FILE", "Config", "ConfigError", "Loaded", "load"]
