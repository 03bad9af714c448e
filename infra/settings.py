"""Settings: environment variables `OVERNIGHT_*`, then secrets in files, then `overnight.toml` in the working folder, then
these defaults."""

import os
import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from domain.errors import UsageError

# Where containers find secrets as files: a setting may lie there under its variable's name, in lower case.
SECRETS = Path("/run/secrets")
# OpenMP's threads sleep while they wait; by default they spin, and on a busy machine learning then takes ten times as long.
THREADS_SLEEP = {"OMP_WAIT_POLICY": "PASSIVE"}
# No library that is used here may report home; set before any of them is imported.
SILENCE = {
    "DO_NOT_TRACK": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "PREFECT_SERVER_UI_V2_ENABLED": "false",  # the second UI asks an analytics host from the reader's browser
}


class Settings(BaseSettings):
    """One field per `OVERNIGHT_*` variable."""

    model_config = SettingsConfigDict(
        env_prefix="OVERNIGHT_", toml_file="overnight.toml", frozen=True, extra="forbid", str_strip_whitespace=True
    )

    home: Path = Field(Path(".overnight"), description="the embedded Postgres, demo data and logs")
    database_url: str | None = Field(None, description="any PostgreSQL, as a user who may create roles; none: the embedded one")
    writer_url: str | None = Field(None, description="what stages connect with; none: database_url, acting as overnight_writer")
    reader_url: str | None = Field(None, description="what readers connect with; none: database_url, acting as overnight_reader")
    deployments: Path = Field(Path("deployments"), description="the folder of pipelines")
    data: Path | None = Field(None, description="what {data} in a source's path means; none: home/data")
    estimators: str = Field("sklearn", description="the packages that estimators may come from, commas between them")
    threads: int = Field(0, ge=0, le=256, description="threads that learn and score; 0: as many as the process has cores")
    image: str = Field("overnight:latest", description="the container image that stages run in where a pipeline says so")
    image_digest: str | None = Field(None, description="the image that this process runs in; stages' containers are told")
    container_network: str | None = Field(None, description="the Docker network to a Postgres that has no socket here")
    dask_address: str | None = Field(
        None, description="the Dask scheduler that `runner: dask` means, such as tcp://10.0.0.5:8786"
    )
    contained: bool = Field(False, description="this process has a container's network to itself, so it may listen on all of it")
    prefect_api_url: str | None = Field(None, description="the Prefect server; none: the one that `overnight up` started")
    prefect_port: int = Field(4200, ge=1, le=65535, description="where `overnight up` starts Prefect's server")
    notify: str | None = Field(None, description="where to tell people: apprise addresses, spaces between them; none: nobody")
    history_days: int = Field(90, ge=1, le=36500, description="days that Prefect's finished runs and old logs are kept")
    web_port: int = Field(8500, ge=1, le=65535, description="where the web listens")
    web_tokens: bool = Field(False, description="the web asks for a token on loopback too, as it always does elsewhere")
    web_hosts: str | None = Field(
        None, description="names that the web is reached by, commas between them; none: loopback's, any where it asks for tokens"
    )
    web_proxies: str | None = Field(
        None, description="addresses or networks of reverse proxies that are believed, commas between them"
    )
    web_trust_header: str | None = Field(
        None, description="the header in which such a proxy names whom it has let in; none: nobody is believed"
    )
    web_rate: int | None = Field(
        None, ge=0, description="questions a minute from one token, person or address, a sixth of them at once; 0: any number; "
        "none: 6000 where tokens are asked for, any number elsewhere"
    )  # fmt: skip
    web_seconds: float = Field(5.0, gt=0, le=600, description="seconds that Postgres may take for one answer of the web")
    web_export_seconds: float = Field(600.0, gt=0, le=86400, description="seconds that Postgres may take for one download")
    web_keep_files: int = Field(
        2048, ge=0, description="megabytes of whole downloads that the web keeps as files, in home/downloads; 0: none"
    )
    web_log: Literal["text", "json", "none"] | None = Field(
        None, description="a line for each request of the web, as text, as json or none; unset: text where tokens are asked for"
    )
    web_key: str | None = Field(
        None, repr=False, description="what signs the sessions of people who log in; none: home/web.key, made when it is needed"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # pydantic calls it by name
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # pydantic calls it by name
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        secrets = [SecretsSettingsSource(settings_cls, SECRETS)] if SECRETS.is_dir() else []
        return init_settings, env_settings, *secrets, TomlConfigSettingsSource(settings_cls)

    @property
    def data_folder(self) -> Path:
        return (self.data or self.home / "data").absolute()

    @property
    def postgres_folder(self) -> Path:
        return self.home.absolute() / "postgres"


class _Readable(Settings):
    """What is unknown in the file is passed over."""

    model_config = SettingsConfigDict(extra="ignore")


class _Fileless(_Readable):
    """The environment alone."""

    model_config = SettingsConfigDict(toml_file=None)


@lru_cache(maxsize=1)
def load_settings() -> Settings:
    """The settings of this process; raises UsageError with the first thing that is wrong with them."""
    for name, value in {**SILENCE, **THREADS_SLEEP}.items():
        os.environ.setdefault(name, value)
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = "OVERNIGHT_" + "_".join(map(str, first["loc"])).upper()
        raise UsageError(f"{name}: {first['msg'].lower()}", where="settings", hint="overnight doctor") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"overnight.toml: {error}", where="settings", hint="overnight doctor") from None


def readable_settings() -> Settings:
    """As `load_settings`, with its default for each value that is wrong: for whoever has to tell that one is."""
    try:
        return load_settings()
    except UsageError:
        pass
    for kind in (_Readable, _Fileless):
        try:
            return kind()
        except ValidationError as error:
            wrong = {str(one["loc"][0]) for one in error.errors()}
            return kind(**{name: kind.model_fields[name].default for name in wrong})
        except (tomllib.TOMLDecodeError, UnicodeDecodeError):
            continue
    return Settings.model_construct()
