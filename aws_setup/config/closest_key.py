"""The known name that a mistyped one means: compared by its words, and by its characters.

`num_zookeper` has most characters in common with `zookeeper_ami`; its words, a number and
ZooKeeper, are those of `num_lambda_fs_zk_vms`.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Iterable
from difflib import SequenceMatcher

SYNONYMS = {
    "addr": "ip",
    "address": "ip",
    "addresses": "ip",
    "asg": "autoscaling group",
    "ags": "autoscaling group",
    "autoscale": "autoscaling",
    "count": "num",
    "database": "ndb database",
    "datanodes": "ndb datanode",
    "format": "format filesystem",
    "fs": "",
    "hopsfs": "hops",
    "ips": "ip",
    "k8s": "kubernetes",
    "keyname": "keypair name",
    "keypair": "key pair",
    "lambdafs": "lambda",
    "lfs": "lambda",
    "mgm": "manager",
    "mgmd": "manager",
    "mgmt": "manager",
    "management": "manager",
    "mysql": "ndb mysql",
    "nn": "namenode",
    "no": "num",
    "number": "num",
    "ow": "openwhisk",
    "pem": "path",
    "privatekey": "key path",
    "pw": "password",
    "reformat": "format filesystem",
    "scaling": "autoscaling",
    "sg": "security group",
    "vms": "vm",
    "wsk": "openwhisk",
    "whisk": "openwhisk",
    "worker": "invoker",
    "workers": "invoker",
    "zk": "zookeeper",
}
"""Word -> the words that it stands for: abbreviations, and what the field calls the same."""

NUMBER = "num"
"""It says most of what is asked for: how many there are, and nothing about one of them."""

ALIKE = 0.75
"""From this similarity on two words are one, of which one is mistyped."""

CLOSE = 0.48
"""From this similarity on a name is suggested."""


def closest_key(key: str, known: Iterable[str]) -> str:
    """Return the known name most similar to `key`, or '' if none is similar."""
    names = list(known)
    words = {name: _words(name) for name in names}
    rarity = _rarity(words.values())
    scored = [
        (_similarity(key.lower(), name.lower(), _by_words(_words(key), words[name], rarity)), name)
        for name in names
    ]
    score, name = max(scored, key=lambda item: item[0], default=(0.0, ""))
    return name if score >= CLOSE else ""


def _similarity(key: str, name: str, by_words: float) -> float:
    """Return from 0 to 1 how similar two names are: by the better of both ways, mostly."""
    by_characters = SequenceMatcher(None, key, name).ratio()
    return 0.65 * max(by_words, by_characters) + 0.35 * min(by_words, by_characters)


def _words(name: str) -> list[str]:
    """Return the words of a name in one form: `zkHeapSizes` has zookeeper, heap and size."""
    parts = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).replace("private_key", "privatekey")
    found: list[str] = []
    for part in re.split(r"[^a-z0-9]+", parts.lower()):
        found += SYNONYMS.get(part, part).split()
    return [_singular(word) for word in found]


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def _rarity(names: Collection[list[str]]) -> dict[str, float]:
    """Return how much each word says: one that few names have says most."""
    used = Counter(word for words in names for word in set(words))
    found = {word: math.log(1 + len(names) / count) for word, count in used.items()}
    return found | ({NUMBER: 2 * found[NUMBER]} if NUMBER in found else {})


def _by_words(key: list[str], name: list[str], rarity: dict[str, float]) -> float:
    """Return from 0 to 1 how many words two names share, each by its rarity."""
    most = max(rarity.values(), default=1.0)
    shared = total = 0.0
    left = list(name)
    for word in key:
        alike, best = max(((_alike(word, it), it) for it in left), default=(0.0, ""))
        weight = rarity.get(best if alike else word, most)
        total += weight
        if alike:
            left.remove(best)
            shared += 2 * alike * weight
            total += weight
    total += sum(rarity[word] for word in left)
    return shared / total if total else 0.0


def _alike(word: str, other: str) -> float:
    """Return from 0 to 1 how alike two words are; 0 for two different ones."""
    if len(word) >= 3 and other.startswith(word):
        return 0.9
    ratio = SequenceMatcher(None, word, other).ratio()
    return ratio if ratio >= ALIKE else 0.0
