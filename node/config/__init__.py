"""Options of a node: models (the one definition), loading, and the pages rendered from them."""

from node.config.load import CONFIG_FILE, ConfigError, Loaded, load
from node.config.models import Config

__all__ = ["CONFIG_FILE", "Config", "ConfigError", "Loaded", "load"]
