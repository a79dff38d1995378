"""CIFAR-10 and CIFAR-100: 50,000 + 10,000 colour images of 32x32."""

from __future__ import annotations

from atk_latent.data.keras_source import KerasSource

FINE_LABELS = (
    "apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge "
    "bus butterfly camel can castle caterpillar cattle chair chimpanzee clock cloud "
    "cockroach couch crab crocodile cup dinosaur dolphin elephant flatfish forest fox "
    "girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster "
    "man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter "
    "palm_tree pear pickup_truck pine_tree plain plate poppy porcupine possum rabbit "
    "raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake "
    "spider squirrel streetcar sunflower sweet_pepper table tank telephone television "
    "tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm"
)

load_cifar10 = KerasSource(
    name="cifar10",
    class_names=(
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ),
    files={"cifar-10-batches-py-target_archive": None},
)
"""CIFAR-10. Keras verifies the SHA-256 of the archive."""

load_cifar100 = KerasSource(
    name="cifar100",
    class_names=tuple(FINE_LABELS.split()),
    files={"cifar-100-python-target_archive": None},
)
"""CIFAR-100 with its 100 fine labels. Keras verifies the SHA-256 of the archive."""
