"""A made-up ontology in the layout of AudioSet's."""

from __future__ import annotations

import json
from pathlib import Path

# name: children
TREE: dict[str, list[str]] = {
    "Animal": ["Domestic animals, pets", "Wild animals"],
    "Domestic animals, pets": ["Dog", "Cat"],
    "Dog": ["Bark", "Howl"],
    "Bark": [],
    "Howl": [],
    "Cat": ["Meow"],
    "Meow": [],
    "Wild animals": ["Canidae, dogs, wolves"],
    "Canidae, dogs, wolves": ["Howl"],
    "Sounds of things": ["Alarm", "Vehicle"],
    "Alarm": ["Siren", "Smoke detector, smoke alarm"],
    "Siren": ["Ambulance (siren)"],
    "Smoke detector, smoke alarm": [],
    "Ambulance (siren)": [],
    "Vehicle": ["Ambulance (siren)", "Train"],
    "Train": [],
    "Music": ["Musical instrument"],
    "Musical instrument": ["Violin, fiddle", "Piano"],
    "Violin, fiddle": [],
    "Piano": [],
    "Baby cry, infant cry": [],
    "Source-ambiguous sounds": ["Clang"],
    "Clang": [],
}

DESCRIPTIONS = {"Train": "The sound of a locomotive on rails. Others follow.", "Cat": "Cat."}


def write_ontology(path: Path) -> Path:
    """Write the ontology and return its path."""
    nodes = [
        {
            "id": f"/m/{name}",
            "name": name,
            "description": DESCRIPTIONS.get(name, ""),
            "child_ids": [f"/m/{child}" for child in children],
            "restrictions": [],
        }
        for name, children in TREE.items()
    ]
    path.write_text(json.dumps(nodes))
    return path
