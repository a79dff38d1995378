"""Metadata of atk-latent. `cli/` is installed as the package `atk_latent.cli`."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(
    r'^__version__ = "(.+)"', (HERE / "atk_latent" / "__init__.py").read_text(), re.MULTILINE
).group(1)

# tensorflow-datasets imports importlib_resources when it downloads but no longer declares it.
DATASETS = ["tensorflow-datasets>=4.9.8", "importlib_resources"]
TEST = [
    *DATASETS,
    "pytest>=8",
    "pytest-xdist",
    "ruff>=0.8",
    "mypy>=1.13",
    "jsonschema>=4.18",
    "hypothesis>=6.100",
    "build",
    "tensorboard>=2.18",
    "nbclient",
    "ipykernel",
]

setup(
    name="atk-latent",
    version=VERSION,
    description="Latent-space adversarial defences (LADDER, ATLD) for Keras and ART",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    license_files=["LICENSE"],
    keywords="adversarial robustness, adversarial training, Keras, TensorFlow, ART, LADDER, ATLD",
    python_requires=">=3.10,<3.14",
    packages=[*find_packages(include=["atk_latent", "atk_latent.*"]), "atk_latent.cli"],
    package_dir={"atk_latent.cli": "cli"},
    package_data={
        "atk_latent": ["*.pyi", "py.typed"],
        "atk_latent.evaluation": ["suites/*.yaml"],
        "atk_latent.methods": ["presets/*.yaml"],
        "atk_latent.reproduction": ["published/*.yaml"],
        "atk_latent.reporting": ["templates/*"],
        "atk_latent.results": ["schemas/*.json"],
    },
    install_requires=[
        "tensorflow>=2.18",
        "keras>=3.6",
        "adversarial-robustness-toolbox>=1.20",
        "multiprocess",  # ART's AutoAttack imports it even when it runs serially
        "numpy",
        "click>=8.1",
        "pydantic>=2.12",
        "scikit-learn",
        "matplotlib",
        "rich",
        "tqdm",
        "pillow",
        "jinja2",
        "pyyaml",
    ],
    extras_require={
        "datasets": DATASETS,
        "gpu": ["tensorflow[and-cuda]>=2.18"],
        "tensorboard": ["tensorboard>=2.18"],
        "onnx": ["tf2onnx>=1.17", "onnxruntime"],
        "ray": ["ray>=2.40"],
        "test": TEST,
        "bench": ["foolbox", "torch", "torchattacks"],
        "docs": ["mkdocs>=1.6,<2", "mkdocs-material>=9.6", "mkdocstrings[python]>=0.29"],
        "dev": TEST,
    },
    entry_points={"console_scripts": ["atkl=atk_latent.cli.main:main"]},
    classifiers=[
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Security",
    ],
)
