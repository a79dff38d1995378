import numpy as np
import pytest
from PIL import Image

from atk_latent.data import load_dataset
from atk_latent.errors import InputError


def refused(path):
    with pytest.raises(InputError) as caught:
        load_dataset(str(path))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def arrays(**changes):
    x = np.arange(6 * 4 * 4, dtype=np.uint8).reshape(6, 4, 4)
    sound = {"x_train": x, "y_train": [0, 1] * 3, "x_test": x[:2], "y_test": [0, 1]}
    return {**sound, **changes}


def picture(path, value=100, size=(6, 4), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value).save(path)


def folder(root, classes=("cat", "dog"), count=10, **settings):
    for label, name in enumerate(classes):
        for index in range(count):
            picture(root / name / f"{index:02}.png", value=(label, index, 207), **settings)
    return root


def test_npz_is_read(tmp_path):
    np.savez(tmp_path / "mine.npz", **arrays())
    data = load_dataset(str(tmp_path / "mine.npz"))
    assert data.name == "mine"
    assert data.x_train.shape == (6, 4, 4, 1)
    assert data.x_train[1, 0, 0, 0] == np.float32(16) / np.float32(255)
    assert data.class_names == ("0", "1")


def test_npz_may_name_its_classes(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", **arrays(), class_names=["cat", "dog"])
    assert load_dataset(str(tmp_path / "a.npz")).class_names == ("cat", "dog")


def test_npz_limits_and_seed(tmp_path):
    np.savez(tmp_path / "a.npz", **arrays())
    data = load_dataset(str(tmp_path / "a.npz"), limit_train=4, limit_test=2, seed=1)
    assert np.bincount(data.y_train).tolist() == [2, 2]


def test_npz_missing_arrays_are_named_with_those_found(tmp_path):
    np.savez(tmp_path / "a.npz", images=np.zeros(3), x_train=np.zeros(3))
    message = refused(tmp_path / "a.npz")
    assert "a.npz must hold x_train, y_train, x_test, y_test" in message
    assert "Received: images, x_train. Add y_train, x_test, y_test" in message


def test_npz_is_never_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    np.savez(tmp_path / "a.npz", **arrays(y_train=np.array([Trap()] * 6)))
    assert "a.npz: y_train holds Python objects" in refused(tmp_path / "a.npz")
    assert not (tmp_path / "sprung").exists()


def test_npz_flaws_name_file_and_array(tmp_path):
    np.savez(tmp_path / "a.npz", **arrays(y_test=[0, 5]))
    message = refused(tmp_path / "a.npz")
    assert message.startswith(f"{tmp_path / 'a.npz'}: y_test must lie in 0..1")
    assert "5 at 1" in message


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: b"",
        lambda whole: b"not an archive at all",
        lambda whole: whole[: len(whole) // 2],
        lambda whole: whole[:60] + b"\xff" * 40 + whole[100:],
        lambda whole: b"\x93NUMPY" + whole[6:],
    ],
    ids=["empty", "text", "cut", "overwritten", "npy"],
)
def test_npz_damage_is_one_line(tmp_path, damage):
    np.savez_compressed(tmp_path / "a.npz", **arrays())
    whole = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(damage(whole))
    assert "a.npz cannot be read as .npz (" in refused(tmp_path / "a.npz")


def test_npz_that_is_a_single_array(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros(3))
    (tmp_path / "a.npy").rename(tmp_path / "a.npz")
    assert "one array, not an archive" in refused(tmp_path / "a.npz")


def test_folder_is_split_into_four_fifths_and_one(tmp_path):
    data = load_dataset(str(folder(tmp_path / "pets")))
    assert data.name == "pets"
    assert data.class_names == ("cat", "dog")
    assert data.image_shape == (4, 6, 3)
    assert np.bincount(data.y_train).tolist() == [8, 8]
    assert np.bincount(data.y_test).tolist() == [2, 2]
    for x, y in ((data.x_train, data.y_train), (data.x_test, data.y_test)):
        np.testing.assert_array_equal((x[:, 0, 0, 0] * 255).round(), y)
    x = np.concatenate([data.x_train, data.x_test])[:, 0, 0, 1]
    y = np.concatenate([data.y_train, data.y_test])
    seen = zip(y.tolist(), (x * 255).round().astype(int).tolist(), strict=True)
    assert sorted(seen) == [(label, index) for label in range(2) for index in range(10)]


def test_folder_split_does_not_follow_the_seed(tmp_path):
    folder(tmp_path)
    first, second = (load_dataset(str(tmp_path), seed=seed) for seed in (0, 1))
    assert first.fingerprint() == second.fingerprint()


def test_folder_with_train_and_test(tmp_path):
    folder(tmp_path / "train", classes=("dog", "cat", "eel"), count=3)
    folder(tmp_path / "test", classes=("eel",), count=2)
    data = load_dataset(str(tmp_path))
    assert data.class_names == ("cat", "dog", "eel")
    assert data.y_train.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert data.y_test.tolist() == [2, 2]
    assert round(255 * data.x_train[0, 0, 0, 0]) == 1  # cat was written second


@pytest.mark.parametrize("suffix", ["png", "jpg", "jpeg", "bmp", "PNG"])
def test_folder_grey_images_of_every_format(tmp_path, suffix):
    for name, value in (("a", 40), ("b", 200)):
        for index in range(2):
            picture(tmp_path / name / f"{index}.{suffix}", value=value, mode="L")
    data = load_dataset(str(tmp_path))
    assert data.image_shape == (4, 6, 1)
    assert (255 * data.x_train).round().ravel()[0] == 40
    assert (255 * data.x_train).round().ravel()[-1] == 200


def test_folder_grey_among_colour_becomes_rgb(tmp_path):
    folder(tmp_path, count=4)
    for index in range(4):
        picture(tmp_path / "cat" / f"{index:02}.png", value=51, mode="L")
    data = load_dataset(str(tmp_path))
    assert data.image_shape == (4, 6, 3)
    assert np.allclose(data.x_train[data.y_train == 0], 0.2)


def test_folder_palette_and_opaque_alpha_become_rgb(tmp_path):
    for index in range(2):
        picture(tmp_path / "a" / f"{index}.png", value=(255, 0, 51, 255), mode="RGBA")
        (tmp_path / "b").mkdir(exist_ok=True)
        Image.new("RGB", (6, 4), (0, 255, 51)).quantize().save(tmp_path / "b" / f"{index}.png")
    data = load_dataset(str(tmp_path))
    np.testing.assert_allclose(data.x_train[0, 0, 0], [1, 0, 0.2], atol=1e-6)
    np.testing.assert_allclose(data.x_train[1, 0, 0], [0, 1, 0.2], atol=1e-6)


def test_folder_refuses_transparency(tmp_path):
    picture(folder(tmp_path) / "cat" / "03.png", value=(1, 2, 3, 90), mode="RGBA")
    message = refused(tmp_path)
    assert "03.png has transparent pixels (alpha 90)" in message


def test_folder_refuses_sixteen_bit_images(tmp_path):
    picture(folder(tmp_path) / "cat" / "03.png", value=3000, mode="I;16")
    assert "03.png must be an 8-bit grey or RGB image. Received: Pillow mode 'I;16'" in refused(
        tmp_path
    )


def test_folder_refuses_mixed_sizes_naming_two(tmp_path):
    picture(folder(tmp_path) / "dog" / "03.png", value=(1, 1, 1), size=(7, 9))
    message = refused(tmp_path)
    assert "00.png is 6x4" in message
    assert "03.png is 7x9" in message


@pytest.mark.parametrize("content", [b"", b"no image", None], ids=["empty", "text", "cut"])
def test_folder_refuses_an_unreadable_image(tmp_path, content):
    broken = folder(tmp_path, size=(60, 40)) / "dog" / "05.png"
    broken.write_bytes(broken.read_bytes()[:60] if content is None else content)
    assert f"{broken} cannot be read as an image" in refused(tmp_path)


def test_folder_without_classes(tmp_path):
    picture(tmp_path / "loose.png")
    assert "at least 2 class folders of images. Received: none" in refused(tmp_path)


def test_folder_with_one_class(tmp_path):
    assert "Received: cat" in refused(folder(tmp_path, classes=("cat",)))


def test_folder_with_an_empty_class(tmp_path):
    (folder(tmp_path) / "eel").mkdir()
    (tmp_path / "eel" / "notes.txt").write_text("x")
    assert f"{tmp_path / 'eel'} holds no image" in refused(tmp_path)


def test_folder_ignores_hidden_and_foreign_names(tmp_path):
    folder(tmp_path)
    (tmp_path / ".cache").mkdir()
    (tmp_path / "README.txt").write_text("x")
    (tmp_path / "cat" / "Thumbs.db").write_text("x")
    (tmp_path / "cat" / "._00.png").write_text("x")
    assert len(load_dataset(str(tmp_path)).y_train) == 16


def test_folder_with_too_few_to_split(tmp_path):
    picture(folder(tmp_path) / "eel" / "0.png")
    assert f"{tmp_path / 'eel'} holds 1 image and needs 2" in refused(tmp_path)


def test_folder_with_half_a_split(tmp_path):
    folder(tmp_path / "train")
    assert "Received: train/ alone. Add test/" in refused(tmp_path)


def test_folder_with_an_unknown_test_class(tmp_path):
    folder(tmp_path / "train")
    folder(tmp_path / "test", classes=("cow",))
    message = refused(tmp_path)
    assert "class folder 'cow'" in message
    assert "Known: cat, dog" in message


def test_folder_too_big_for_memory(tmp_path, monkeypatch):
    folder(tmp_path, count=2)
    monkeypatch.setattr("os.sysconf", lambda name: {"SC_PHYS_PAGES": 1, "SC_PAGE_SIZE": 900}[name])
    message = refused(tmp_path)  # 4 images of 6 * 4 * 3 * 4 bytes are 1,152 bytes
    assert f"{tmp_path}: 4 images need 0.0 GB" in message
    assert "Use fewer" in message
