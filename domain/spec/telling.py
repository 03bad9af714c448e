"""Who is told by machine when a night is published, held or corrected."""

import re

from pydantic import Field, model_validator

from domain.spec.values import Strict
from domain.withheld import find_hook_secrets, refusal


class Tell(Strict):
    """A webhook. `${NAME}` is read from the environment, and never kept."""

    webhook: str = Field("", description="an address that gets a JSON document by POST; none: nobody")
    secret: str = Field("", description="${NAME} of the secret that signs the document; none: it is not signed")

    @model_validator(mode="after")
    def _is_safe(self) -> "Tell":
        if self.webhook and not re.match(r"https?://|\$\{\w+\}", self.webhook):
            raise ValueError("webhook is an address such as https://example.org/hook")
        if found := find_hook_secrets(self.webhook):
            raise ValueError(refusal(found[0].name))
        if self.secret and not re.fullmatch(r"\$\{\w+\}", self.secret):
            raise ValueError("a secret does not belong in a file; write ${NAME} and set NAME in the environment")
        if self.secret and not self.webhook:
            raise ValueError("secret signs what the webhook gets; write webhook too")
        return self
