"""Options of a node: models (the one definition), loading, and the pages rendered from them."""

from dchat.config.models import Config
from dchat.config.sources import CONFIG_FILE, ConfigError, Loaded, is_secret, load, look, passwords_in

__all__ = [
    "CONFIG_FILE",
    "Config",
    "ConfigError",
    "endpoint",
    "Loaded",
    "genesis_options",
    "hsm",
    "is_secret",
    "load",
    "look",
    "models",
    "pages",
    "passwords_in",
    "refused",
    "schedule",
    "units",
]
