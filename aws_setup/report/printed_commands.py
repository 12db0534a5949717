"""Commands in what is printed: completed by the options that lead to the deployment of the run.

A text names a command as `python create_aws_infrastructure.py resume` or `aws ec2 delete-vpc
--vpc-id vpc-1`. Pasted as it is, it would act on the deployment of config_aws.yaml, and in the
region and account of the CLI's own settings, in which the same names may be somebody's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

_OWN = re.compile(
    r"\bpython [\w.-]*(?:create_aws_infrastructure|configure_eks_cluster|whisk_helper)\.py"
)

_AWS = re.compile(
    r"(?<![\w/.-])aws (?=(?:acm|autoscaling|dms|ds|ec2|ecs|efs|eks|elasticache|elb|elbv2|iam|logs"
    r"|rds|redshift|route53resolver|scheduler|service-quotas|ssm|sts) [a-z])"
)
"""The start of a command of AWS's CLI, whose global options may come before the service:
https://docs.aws.amazon.com/cli/latest/userguide/cli-configure-options.html"""

_GLOBAL = re.compile(r"(?:iam|sts)\b")
"""Services that have no region."""

_END = re.compile(r"[`\n]")


@dataclass(frozen=True)
class CommandOptions:
    """The options of printed commands, as words of the user's shell.

    `own` are those of the scripts. `profile` and `region` are AWS's, '' where the CLI's settings
    lead to the same.
    """

    own: str = ""
    profile: str = ""
    region: str = ""

    def complete(self, text: str) -> str:
        """Return a text whose commands have these options."""
        if self.own:
            text = _OWN.sub(lambda match: f"{match[0]} {self.own}", text)
        if self.profile or self.region:
            text = _AWS.sub(lambda match: self._aws(match, text), text)
        return text

    def completed(self, document: Any) -> Any:
        """Return a JSON document whose texts have these options in their commands."""
        if isinstance(document, str):
            return self.complete(document)
        if isinstance(document, dict):
            return {key: self.completed(value) for key, value in document.items()}
        if isinstance(document, (list, tuple)):
            return [self.completed(value) for value in document]
        return document

    def _aws(self, match: re.Match[str], text: str) -> str:
        """Return the start of a command with the options that it does not have itself."""
        command = _END.split(text[match.end() :], maxsplit=1)[0]
        regional = not _GLOBAL.match(command) and "--region " not in command
        region = f"--region {self.region} " if self.region and regional else ""
        profile = f"--profile {self.profile} " if self.profile else ""
        return f"aws {profile}{region}"


AS_THEY_ARE = CommandOptions()
"""The commands' own options are enough: nothing else leads to the deployment."""
