"""Where the values of settings come from.

First hit wins: the command line, environment variables (`POINTSTORE__PORT`, `POINTSTORE__OPTIMIZER__THREADS`), and the
YAML file named by `--config`. A name that does not exist is an error in the file, not a silent default.

Apart from config.py because child processes, which get their settings from the supervisor, need none of this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)

from pointstore.config import Settings

if TYPE_CHECKING:
    from pathlib import Path


def load_settings(config: Path | None, **given: object) -> Settings:
    """Read the settings of a server that starts.

    Args:
        config: a YAML file, or None.
        given: values from the command line; None means not given.

    Raises:
        FileNotFoundError: there is no such file.
        pydantic.ValidationError: a name is unknown or a value is out of bounds.

    """
    if config is not None and not config.is_file():
        raise FileNotFoundError(config)

    # A class of its own for each file, since pydantic-settings takes the file's name from the class.
    class Sources(BaseSettings, Settings):
        model_config = SettingsConfigDict(
            env_prefix="POINTSTORE__",
            env_nested_delimiter="__",
            nested_model_default_partial_update=True,
            yaml_file=config,
        )

        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  the signature is pydantic's
            file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, YamlConfigSettingsSource(settings_cls)

    values: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    return Settings.model_validate(Sources(**values).model_dump())
