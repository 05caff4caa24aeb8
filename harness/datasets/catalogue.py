"""What is known of the field's data sets: folders, files, sizes, templates, sources, licences.

Folders and split files as in CoOp's and CLIP-LoRA's repositories, sizes and templates from CoOp
(Zhou et al., IJCV 2022). Licences are from general knowledge of the data sets: before use, read
the terms at the source.
"""

from __future__ import annotations

from dataclasses import dataclass

PHOTO = "a photo of a {}."

_NO_LICENCE = "none stated; images from the web, commonly used for research"
_IMAGENET = "research and education only, not commercial (terms at image-net.org)"


@dataclass(frozen=True)
class Known:
    """A data set of the field."""

    name: str
    folders: tuple[str, ...]
    """Folder names in use, below the root; the first is CoOp's."""
    images: tuple[str, ...]
    """Where images begin, below the folder; the first that exists is taken."""
    classes: int
    sizes: tuple[int, ...]
    """Images of train, val and test; a single number is the test split's; empty: not known."""
    source: str
    licence: str
    template: str = PHOTO
    split_file: str | None = None
    """CoOp's split file, below the folder; None for the ImageNets and Aircraft."""
    advice: str = ""
    """What to do when the images cannot be had from the source."""

    @property
    def known_sizes(self) -> dict[str, int]:
        """Images by split, as far as they are known."""
        splits = ("test",) if len(self.sizes) == 1 else ("train", "val", "test")
        return dict(zip(splits, self.sizes, strict=False))


_CARS = (
    "The original address is dead. Copies with the original file names are linked in "
    "github.com/pytorch/vision/issues/7545; copies sorted into class folders do not fit "
    "the split file, which names cars_train/00001.jpg … and cars_test/00001.jpg …"
)
_SUN = (
    "The original address (SUN397.tar.gz, 37 GB, MD5 8ca2778205c41d23104230ba66911c7a) is dead: "
    "github.com/pytorch/vision/issues/9348 follows the state of it. Compare a copy's MD5; "
    "copies cut to 50 + 50 images per class lack most files of the split file"
)

SPLIT_SETS = (
    Known(
        "caltech101",
        folders=("caltech-101", "Caltech101", "caltech101"),
        images=("101_ObjectCategories",),
        classes=100,
        sizes=(4128, 1649, 2465),
        source="data.caltech.edu/records/mzrjq-6wc02",
        licence="CC BY 4.0",
        split_file="split_zhou_Caltech101.json",
    ),
    Known(
        "oxford_pets",
        folders=("oxford_pets", "OxfordPets"),
        images=("images",),
        classes=37,
        sizes=(2944, 736, 3669),
        source="www.robots.ox.ac.uk/~vgg/data/pets",
        licence="CC BY-SA 4.0",
        template="a photo of a {}, a type of pet.",
        split_file="split_zhou_OxfordPets.json",
    ),
    Known(
        "stanford_cars",
        folders=("stanford_cars", "StanfordCars"),
        images=(".",),
        classes=196,
        sizes=(6509, 1635, 8041),
        source="ai.stanford.edu/~jkrause/cars/car_dataset.html (dead)",
        licence=_NO_LICENCE,
        split_file="split_zhou_StanfordCars.json",
        advice=_CARS,
    ),
    Known(
        "oxford_flowers",
        folders=("oxford_flowers", "Flower102"),
        images=("jpg",),
        classes=102,
        sizes=(4093, 1633, 2463),
        source="www.robots.ox.ac.uk/~vgg/data/flowers/102",
        licence=_NO_LICENCE,
        template="a photo of a {}, a type of flower.",
        split_file="split_zhou_OxfordFlowers.json",
    ),
    Known(
        "food101",
        folders=("food-101", "Food101"),
        images=("images",),
        classes=101,
        sizes=(50500, 20200, 30300),
        source="data.vision.ee.ethz.ch/cvl/datasets_extra/food-101",
        licence="images of foodspotting.com: scientific fair use only",
        template="a photo of {}, a type of food.",
        split_file="split_zhou_Food101.json",
    ),
    Known(
        "sun397",
        folders=("sun397", "SUN397"),
        images=("SUN397",),
        classes=397,
        sizes=(15880, 3970, 19850),
        source="vision.princeton.edu/projects/2010/SUN (dead)",
        licence=_NO_LICENCE,
        split_file="split_zhou_SUN397.json",
        advice=_SUN,
    ),
    Known(
        "dtd",
        folders=("dtd", "DTD"),
        images=("images",),
        classes=47,
        sizes=(2820, 1128, 1692),
        source="www.robots.ox.ac.uk/~vgg/data/dtd",
        licence="research use",
        template="{} texture.",
        split_file="split_zhou_DescribableTextures.json",
    ),
    Known(
        "eurosat",
        folders=("eurosat", "EuroSAT"),
        images=("2750",),
        classes=10,
        sizes=(13500, 5400, 8100),
        source="github.com/phelber/EuroSAT",
        licence="MIT",
        template="a centered satellite photo of {}.",
        split_file="split_zhou_EuroSAT.json",
    ),
    Known(
        "ucf101",
        folders=("ucf101", "UCF101"),
        images=("UCF-101-midframes",),
        classes=101,
        sizes=(7639, 1898, 3783),
        source="www.crcv.ucf.edu/data/UCF101.php; middle frames as published with CoOp",
        licence=_NO_LICENCE,
        template="a photo of a person doing {}.",
        split_file="split_zhou_UCF101.json",
    ),
)

AIRCRAFT = Known(
    "fgvc_aircraft",
    folders=("fgvc_aircraft", "FGVCAircraft", "fgvc-aircraft-2013b/data"),
    images=("images",),
    classes=100,
    sizes=(3334, 3333, 3333),
    source="www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft",
    licence="non-commercial research use",
    template="a photo of a {}, a type of aircraft.",
)

IMAGENET = Known(
    "imagenet",
    folders=("imagenet", "ImageNet"),
    images=("images", "."),
    classes=1000,
    sizes=(50000,),
    source="image-net.org",
    licence=_IMAGENET,
)

IMAGENET_VARIANTS = (
    Known(
        "imagenet_v2",
        folders=("imagenetv2", "ImageNetV2", "imagenet-v2"),
        images=("imagenetv2-matched-frequency-format-val", "."),
        classes=1000,
        sizes=(10000,),
        source="github.com/modestyachts/ImageNetV2",
        licence="MIT (code); images from Flickr",
    ),
    Known(
        "imagenet_sketch",
        folders=("imagenet-sketch", "ImageNet-Sketch"),
        images=("images", "sketch", "."),
        classes=1000,
        sizes=(50889,),
        source="github.com/HaohanWang/ImageNet-Sketch",
        licence=_NO_LICENCE,
    ),
    Known(
        "imagenet_a",
        folders=("imagenet-adversarial", "imagenet-a"),
        images=("imagenet-a", "."),
        classes=200,
        sizes=(7500,),
        source="github.com/hendrycks/natural-adv-examples",
        licence="MIT (code); images from the web",
    ),
    Known(
        "imagenet_r",
        folders=("imagenet-rendition", "imagenet-r"),
        images=("imagenet-r", "."),
        classes=200,
        sizes=(30000,),
        source="github.com/hendrycks/imagenet-r",
        licence="MIT (code); images from the web",
    ),
)

CATALOGUE = {known.name: known for known in (*SPLIT_SETS, AIRCRAFT, IMAGENET, *IMAGENET_VARIANTS)}
"""By name: CoOp's eleven data sets and ImageNet-V2, -Sketch, -A and -R."""
