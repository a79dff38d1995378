"""MNIST and Fashion-MNIST: 60,000 + 10,000 grey images of 28x28, 10 classes."""

from __future__ import annotations

from atk_latent.data.keras_source import KerasSource
from atk_latent.data.source import DIGITS

load_mnist = KerasSource(name="mnist", class_names=DIGITS, files={"mnist.npz": None})
"""MNIST. Keras verifies the SHA-256 of `mnist.npz`."""

load_fashion_mnist = KerasSource(
    name="fashion_mnist",
    class_names=(
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    files={
        "fashion-mnist/train-labels-idx1-ubyte.gz": (
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"
        ),
        "fashion-mnist/train-images-idx3-ubyte.gz": (
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"
        ),
        "fashion-mnist/t10k-labels-idx1-ubyte.gz": (
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"
        ),
        "fashion-mnist/t10k-images-idx3-ubyte.gz": (
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"
        ),
    },
)
"""Fashion-MNIST. Keras 3.15 verifies nothing here, so we do.

The hashes are those of Zalando's own files as tensorflow-datasets 4.9.10 lists them
(`url_checksums/fashion_mnist.txt`); the copies that Keras downloads have the same
names and, to the byte, the same sizes.
"""
