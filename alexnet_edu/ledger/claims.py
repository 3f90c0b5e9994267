"""Every claim of the paper that can be checked: what it says, and what the 2012 notes say.

The paper's figures come from `paper`; those of the authors' own notes from their 2012
source (computerhistory/AlexNet-Source-Code): `layers-N.cfg` is the structure of run N,
`layer-params-N.cfg` its learning rates and, as comments, its results. What this project
measured itself is not here: `measured` reads that from the recorded results.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Literal, NamedTuple

from alexnet_edu import paper as p

Check = Literal["exact", "small", "imagenet"]

NOTEBOOKS = {
    "00": "start here",
    "01": "ReLU against tanh",
    "02": "local response normalization",
    "03": "overlapping pooling",
    "04": "colour PCA, crops, reflections",
    "05": "two GPUs",
    "06": "ImageNet training",
    "07": "kernels",
    "08": "neighbours",
    "09": "dropout",
    "10": "SGD and initialization",
    "11": "results: ten patches, ensembles, pre-training",
}


@dataclass(frozen=True)
class Claim:
    """One thing that the paper says and that can be checked.

    section: where the paper says it ("abstract", "3.1", "3.5, Fig. 2").
    statement: the claim in our own words; paper: its figures.
    log: what the authors' notes and source of 2012 say about it, with run or file.
    check: "exact", arithmetic or an identity; "small", an experiment on small data;
        "imagenet", needs the 1.2 million training images. Empty: nothing to check.
    notebook: number of the notebook that treats it, a key of `NOTEBOOKS`.
    how: how it is checked, in words.
    """

    id: str
    section: str
    statement: str
    paper: str
    log: str
    check: tuple[Check, ...]
    notebook: str
    how: str


class Logged(NamedTuple):
    """A result in the authors' notes: error rates as fractions, and on which images."""

    top1: float
    top5: float
    on: str

    def __str__(self) -> str:
        return f"{self.top1:.6f} / {self.top5:.6f}"


# From the comments at the end of `layer-params-N.cfg`; ten patches, as far as the notes tell,
# unless the name says centre.
RUNS_2012 = {
    "145": Logged(0.406640, 0.182100, "2012 validation"),
    "145-2010": Logged(0.374727, 0.169987, "2010 test"),
    "145-2010 centre": Logged(0.390247, 0.182953, "2010 test"),
    "145-half": Logged(0.391680, 0.182287, "2010 test"),
    "145 continued": Logged(0.402500, 0.179940, "2012 validation"),  # its rate raised again
    "120-2012": Logged(0.410440, 0.187140, "2012 validation"),
    "131": Logged(0.409340, 0.185740, "2012 validation"),
    "135": Logged(0.410700, 0.184160, "2012 validation"),
    "137": Logged(0.407820, 0.183440, "2012 validation"),
    "141-2009": Logged(0.395620, 0.172060, "2012 validation"),  # a sixth layer, pre-trained
    "141-2009 centre": Logged(0.415920, 0.186780, "2012 validation"),
    "146-2012-2009": Logged(0.391000, 0.168760, "2012 validation"),
    "146-2012-2011": Logged(0.389900, 0.166220, "2012 validation"),
    "147": Logged(0.410580, 0.185100, "2012 validation"),
    "148": Logged(0.420340, 0.193620, "2012 validation"),
    "150": Logged(0.418280, 0.193300, "2012 validation"),
    "166": Logged(0.410960, 0.186740, "2012 validation"),
    "167": Logged(0.404880, 0.181180, "2012 validation"),
    "170 fade": Logged(0.402500, 0.181160, "2012 validation"),  # 5% of the crops mixed with another
    "177": Logged(0.406900, 0.183040, "2012 validation"),  # dropout 0.8 on conv4
    "131-2009": Logged(0.694209, 0.437308, "Fall 2009"),
}

# All with a whole 2012 result before the contest; whether these are the "5 CNNs" is not recorded.
BEFORE_THE_CONTEST = ("120-2012", "131", "135", "137", "145")

NOTHING = "nothing recorded"
NO_TANH = "no tanh run, configuration or script in the 2012 release"
NEEDS_IMAGENET = "Needs the ImageNet training images."


def log_gain(better: str, worse: str, digits: int = 3) -> str:
    """By how many points run `better` beats run `worse`, as "top-1 / top-5"."""
    a, b = RUNS_2012[better], RUNS_2012[worse]
    if a.on != b.on:
        raise ValueError(f"runs {better} ({a.on}) and {worse} ({b.on}) were not tested on the same images")
    return f"{100 * (b.top1 - a.top1):.{digits}f} / {100 * (b.top5 - a.top5):.{digits}f}"


def _million(count: int) -> str:
    return f"{count / 1e6:.1f}M"


def _sent_mb(values: int) -> str:
    """float32 values of each image of a batch, in MB (10⁶ bytes)."""
    return f"{4 * p.BATCH_SIZE * values / 1e6:.2f} MB"


def _lower(gain: p.Errors) -> str:
    return f"top-1 −{gain.top1:.1f}, top-5 −{gain.top5:.1f} points"


_PARAMETERS = sum(layer.parameters for layer in p.LAYERS)
_NEURONS = sum(layer.neurons for layer in p.LAYERS)
_WORK = sum(layer.multiply_adds for layer in p.LAYERS)
_WORK_ONE_GPU = sum(layer.multiply_adds for layer in p.ONE_GPU_LAYERS)
_CLASSIFIER = p.LAYERS[-1].multiply_adds  # on the first GPU only
_WORK_FIRST_GPU = (_WORK - _CLASSIFIER) // p.GPUS + _CLASSIFIER
_SHARES = {layer.name: f"{layer.parameters / _PARAMETERS:.2%}" for layer in p.LAYERS}
_COLUMN = {layer.name: layer.outputs // p.GPUS for layer in p.LAYERS}
_OFFSETS = p.IMAGE_SIDE - p.INPUT_SIDE + 1

SIZE = (
    Claim(
        "size-params",
        "abstract, 4",
        "The network has about 60 million parameters.",
        f"{p.PARAMETERS // 10**6} million",
        f"{_PARAMETERS:,}, counted from layers-145.cfg",
        ("exact",),
        "00",
        "Counted layer by layer, to the last parameter.",
    ),
    Claim(
        "size-neurons",
        "abstract",
        "The network has about 650,000 neurons.",
        f"{p.NEURONS:,}",
        f"{_NEURONS:,}, counted from layers-145.cfg",
        ("exact",),
        "00",
        f"The published sizes of the layers sum to {sum(p.FIGURE2_NEURONS):,}. Their first entry, "
        f"{p.FIGURE2_NEURONS[0]:,} = 55·48·96, is not 55·55·96 = {p.LAYERS[0].neurons:,}.",
    ),
    Claim(
        "fig2-neurons",
        "3.5, Fig. 2",
        "How many numbers enter the network, and how many neurons each layer has.",
        " – ".join(f"{n:,}" for n in (p.INPUT_NEURONS, *p.FIGURE2_NEURONS)),
        f"layers-145.cfg: {p.LAYERS[0].neurons:,} in the first layer, the others as published",
        ("exact",),
        "00",
        "Counted layer by layer; the first entry is a slip.",
    ),
    Claim(
        "conv-share",
        "1",
        "No convolutional layer holds more than a small share of the parameters.",
        f"at most {p.CONV_SHARE_LIMIT:.0%} each",
        f"counted from layers-145.cfg: conv3 {_SHARES['conv3']}, conv4 {_SHARES['conv4']}",
        ("exact",),
        "00",
        "Counted layer by layer: it does not hold for conv3 and conv4.",
    ),
    Claim(
        "size-224",
        "3.5",
        "The first layer's kernels and stride on the input image; no padding is named.",
        f"{p.INPUT_SIDE}×{p.INPUT_SIDE} input, {p.CONV1_SIZE}×{p.CONV1_SIZE} kernels, "
        f"stride {p.CONV1_STRIDE}",
        f"layer.py rounds the output side up: {p.LAYERS[0].side}",
        ("exact",),
        "00",
        "Rounded down it would be 54. Three zeros at the right and bottom, crops of 227 pixels, or "
        "padding by 2 also give 55.",
    ),
    Claim(
        "depth",
        "1, 7",
        "Removing any middle layer makes the network worse.",
        f"about {p.DEPTH_LOSS_TOP1:g} points top-1",
        NOTHING,
        ("imagenet", "small"),
        "06",
        f"{NEEDS_IMAGENET} A small version: leave out layers of a small network.",
    ),
)

RELU = (
    Claim(
        "relu-6x",
        "3.1, Fig. 1",
        "A four-layer network on CIFAR-10 reaches the same training error several times faster with "
        "ReLU than with tanh, each with its own learning rate and without regularization.",
        f"{p.RELU_SPEEDUP} times faster to {p.TARGET_TRAINING_ERROR:.0%} training error",
        NO_TANH,
        ("small",),
        "01",
        "The learning rate of each side is searched apart, then several seeds are run.",
    ),
    Claim(
        "relu-several",
        "3.1",
        "How much faster depends on the architecture, but ReLU is consistently several times faster.",
        "several times",
        NO_TANH,
        ("small",),
        "01",
        "The comparison of Figure 1, repeated on other networks.",
    ),
    Claim(
        "relu-saturate",
        "3.1",
        "ReLU does not saturate. So it needs no input normalization, and a unit learns as soon as one "
        "training example makes its input positive.",
        "no figure",
        NO_TANH,
        ("exact", "small"),
        "01",
        "The slope of ReLU is exact. Both activations are trained on raw and on standardized inputs.",
    ),
)

TWO_GPUS = (
    Claim(
        "memory-3gb",
        "3.2",
        "The whole network does not fit into the memory of one GPU.",
        f"one {p.GPU_NAME} with {p.GPU_MEMORY_GB} GB",
        f"estimate from layers-145.cfg at batch 128: 3206 MiB, the card has {1024 * p.GPU_MEMORY_GB}",
        ("exact",),
        "05",
        "An estimate, spelled out array by array.",
    ),
    Claim(
        "two-gpu-gain",
        "3.2",
        "Two GPUs with half of the kernels each beat one GPU with half as many kernels in every "
        "convolutional layer but the last.",
        _lower(p.TWO_GPU_GAIN),
        f"145-2010 against 145-half: {log_gain('145-2010', '145-half')} (2010 test)",
        ("imagenet", "small"),
        "05",
        f"{NEEDS_IMAGENET} A small version runs on CIFAR-10.",
    ),
    Claim(
        "two-gpu-time",
        "3.2",
        "The network on two GPUs trains in slightly less time than the smaller one on one GPU.",
        "slightly less time",
        f"multiply-adds per image from layers-145.cfg: {_million(_WORK)}, of which "
        f"{_million(_WORK_FIRST_GPU)} on the busier GPU; 145-half: {_million(_WORK_ONE_GPU)}",
        ("exact", "small"),
        "05",
        "The arithmetic is exact; the time is measured on two processes.",
    ),
    Claim(
        "two-gpu-comm",
        "3.2",
        "The GPUs communicate only in certain layers, so the traffic stays acceptable.",
        "in conv3 and in the fully connected layers",
        f"from layers-145.cfg, each way per batch of {p.BATCH_SIZE}: "
        f"pool2 {_sent_mb(13**2 * _COLUMN['conv2'])}, pool3 {_sent_mb(6**2 * _COLUMN['conv5'])}, "
        f"hidden layer {_sent_mb(_COLUMN['fc6'])}; about 60 MB with the way back, where gradients of "
        f"all weights would be {4 * _PARAMETERS / 1e6:.0f} MB",
        ("exact",),
        "05",
        "The bytes that the program counts equal the arithmetic.",
    ),
    Claim(
        "connectivity",
        "3.2",
        "Which layers are connected across the GPUs has to be chosen by cross-validation.",
        "no figure",
        f"150, no exchange before the classifier: {log_gain('145', '150', 2)} worse than 145; "
        "127, none at conv3: worse than 120; 132, at conv4 instead, and 133, at both: worse than 131",
        ("small",),
        "05",
        "Patterns of exchange are compared at equal numbers of parameters.",
    ),
)

NORMALIZATION_AND_POOLING = (
    Claim(
        "lrn-gain",
        "3.3",
        "Local response normalization lowers the error.",
        _lower(p.LRN_GAIN),
        f"145 against 148: {log_gain('145', '148')} (2012 validation). But 167, without it in conv2, "
        f"has {RUNS_2012['167']}, no worse than 145",
        ("imagenet",),
        "02",
        NEEDS_IMAGENET,
    ),
    Claim(
        "lrn-cifar",
        "3.3",
        "It also lowers the test error of a four-layer network on CIFAR-10.",
        f"{p.CIFAR_ERROR_WITHOUT_LRN:.0f}% without, {p.CIFAR_ERROR_WITH_LRN:.0f}% with",
        "a configuration named for 13% is in the source (conv-local-13pct); none for 11%",
        ("small",),
        "02",
        "A long run on CIFAR-10.",
    ),
    Claim(
        "lrn-formula",
        "3.3",
        "After ReLU, each activity a becomes a / (k + α Σ a²)^β, summed over n adjacent maps.",
        f"k = {p.LRN_K:g}, n = {p.LRN_N}, α = {p.LRN_ALPHA:g}, β = {p.LRN_BETA:g}",
        "layer.py divides α by n; in layers-145.cfg layer 1 is normalized before ReLU, and a 5×5 "
        "normalization within each map follows in layer 2",
        ("exact",),
        "02",
        "The three conventions are computed side by side.",
    ),
    Claim(
        "pool-overlap",
        "3.4",
        "Overlapping pooling lowers the error against pooling without overlap at equal output size.",
        f"{_lower(p.POOL_GAIN)} (z = {p.POOL_SIZE} against {p.PLAIN_POOL_SIZE}, s = {p.POOL_STRIDE})",
        f"145 against 147: {log_gain('145', '147')} (2012 validation)",
        ("imagenet", "small"),
        "03",
        f"{NEEDS_IMAGENET} A small version runs on CIFAR-10.",
    ),
    Claim(
        "pool-overfit",
        "3.4",
        "Networks with overlapping pooling are slightly harder to overfit.",
        "slightly",
        NOTHING,
        ("small",),
        "03",
        "The gap between training and test error, over seeds.",
    ),
)

AUGMENTATION = (
    Claim(
        "aug-2048",
        "4.1",
        "Crops and reflections multiply the training set.",
        f"{p.AUGMENTATION_FACTOR} times",
        f"convdata_jpeg.py: {_OFFSETS}×{_OFFSETS}×2 = {_OFFSETS**2 * 2}; one crop is shared by 32 images",
        ("exact",),
        "04",
        "Counted.",
    ),
    Claim(
        "aug-needed",
        "4.1",
        "Without crops and reflections the network overfits substantially.",
        "substantially",
        NOTHING,
        ("small",),
        "04",
        "Training and test error with and without, over seeds.",
    ),
    Claim(
        "aug-free",
        "4.1",
        "Augmentation costs no time: the CPU does it while the GPU trains.",
        "computationally free",
        "convdata_jpeg.py has a loader thread, layer.cu a double-buffered data layer",
        ("small",),
        "04",
        "The overlap is measured.",
    ),
    Claim(
        "ten-crop",
        "4.1, 6",
        "Averaging the predictions on ten patches of a test image lowers the error (top-1 / top-5).",
        f"{p.CNN_2010} with {p.TEST_PATCHES} patches, {p.WITHOUT_TEN_PATCHES} without",
        f"145-2010: {RUNS_2012['145-2010']} with, {RUNS_2012['145-2010 centre']} without; 141-2009: "
        f"{RUNS_2012['141-2009']} with, {RUNS_2012['141-2009 centre']} without",
        ("imagenet", "small"),
        "11",
        f"{NEEDS_IMAGENET} A small version runs on CIFAR-10.",
    ),
    Claim(
        "pca-gain",
        "4.1",
        "Changing the colours along the principal components lowers the error.",
        f"top-1 by over {p.COLOR_PCA_GAIN_TOP1:g}%",
        "the noise was switched off near epoch 67 (layer-params-145.cfg)",
        ("imagenet", "small"),
        "04",
        f"{NEEDS_IMAGENET} A small version runs on CIFAR-10.",
    ),
    Claim(
        "pca-formula",
        "4.1",
        "Each use of an image adds [p₁ p₂ p₃][α₁λ₁ α₂λ₂ α₃λ₃]ᵀ to all its pixels, with α drawn anew.",
        f"α ~ N(0, {p.COLOR_PCA_STD:g})",
        'convdata_jpeg.py multiplies by "stdevs", then divides the image by 1.1',
        ("exact",),
        "04",
        "Invariants: constant within an image, covariance of the noise, free of the signs of the "
        "components. The units matter: each reading is computed.",
    ),
)

LEARNING = (
    Claim(
        "dropout-iters",
        "4.2",
        "Dropout in the first two fully connected layers: without it substantial overfitting, with it "
        "more iterations until convergence.",
        f"probability {p.DROPOUT:g}; about {p.DROPOUT_ITERATIONS_FACTOR} times the iterations",
        "layers-145.cfg: hs layers after both, keep 0.5; outputs are multiplied by 0.5 in every test",
        ("small", "exact"),
        "09",
        "Runs with and without; both ways of scaling agree in expectation, exactly.",
    ),
    Claim(
        "dropout-geomean",
        "4.2",
        "Scaling the outputs at test time approximates the geometric mean of all the thinned networks.",
        f"outputs times {p.DROPOUT_TEST_FACTOR:g}",
        NOTHING,
        ("exact", "small"),
        "09",
        "Exact for one softmax layer, by enumeration; measured for a deeper network.",
    ),
    Claim(
        "sgd-rule",
        "5",
        "The update rule: momentum, weight decay, and the mean gradient g of a batch.",
        f"v ← {p.MOMENTUM:g} v − {p.WEIGHT_DECAY:g}·ε·w − ε·g; w ← w + v; batch of {p.BATCH_SIZE}",
        "weights.cu: the same rule; layer.cu: no decay of biases; their rate starts at twice that of weights",
        ("exact",),
        "10",
        "Equal to PyTorch's SGD while ε is constant; different after a drop of ε.",
    ),
    Claim(
        "wd-trains",
        "5",
        "Weight decay is more than a regularizer: it lowers the training error.",
        "no figure",
        NOTHING,
        ("small",),
        "10",
        "Training error with and without, over seeds.",
    ),
    Claim(
        "init",
        "5",
        "Weights start from a Gaussian, biases at 1 or 0; the ones speed up early learning.",
        f"N(0, {p.INIT_STD:g}); biases 1 in conv2, conv4, conv5 and the hidden fully connected layers",
        "layers-145.cfg: standard deviation 0.03 in conv3, conv4 and conv5",
        ("exact", "small"),
        "10",
        "Early training curves with and without.",
    ),
    Claim(
        "lr-schedule",
        "5",
        "One learning rate for all layers, divided whenever the validation error stops improving.",
        f"{p.LEARNING_RATE:g}, divided by {p.LEARNING_RATE_DIVISOR}, {p.LEARNING_RATE_DROPS} times; about "
        f"{p.EPOCHS} epochs in {p.TRAINING_DAYS[0]}–{p.TRAINING_DAYS[1]} days on two {p.GPU_NAME}",
        "layer-params-145-2010.cfg: drops at epochs 23, 51 and 78 of 93; conv1 frozen at 72",
        ("exact", "small"),
        "10",
        "The schedule is data; the rule is tried on a small network.",
    ),
)

RESULTS = (
    Claim(
        "table1",
        "6, Table 1",
        "On the ILSVRC-2010 test set the network far outdoes the best earlier methods (top-1 / top-5 error).",
        f"{p.CNN_2010}; sparse coding {p.SPARSE_CODING_2010}; SIFT and Fisher vectors {p.SIFT_FV_2010}",
        f"145-2010: {RUNS_2012['145-2010']}",
        ("imagenet",),
        "06",
        NEEDS_IMAGENET,
    ),
    Claim(
        "table2-1",
        "6, Table 2",
        "One network on ILSVRC-2012 (top-1 / top-5 error).",
        f"{p.CNN_2012_VALIDATION} (validation)",
        f"145: {RUNS_2012['145']}; trained on with its rate raised again: {RUNS_2012['145 continued']}, "
        "which the paper does not have",
        ("imagenet",),
        "06",
        NEEDS_IMAGENET,
    ),
    Claim(
        "table2-5",
        "6, Table 2",
        "Five networks averaged, on ILSVRC-2012 (top-1 / top-5 error).",
        f"{p.FIVE_CNNS} networks: {p.FIVE_CNNS_VALIDATION} (validation), "
        f"top-5 {p.FIVE_CNNS_TEST_TOP5}% (test)",
        "which networks were averaged is not recorded; five runs with a whole result come before the "
        f"contest: {', '.join(BEFORE_THE_CONTEST)}",
        ("imagenet", "small"),
        "11",
        f"{NEEDS_IMAGENET} A small version averages small networks.",
    ),
    Claim(
        "table2-1s",
        "6, Table 2",
        "One network with a sixth convolutional layer, pre-trained on the ImageNet of fall 2011, on "
        "ILSVRC-2012 (top-1 / top-5 error).",
        f"{p.PRETRAINED_CNN_VALIDATION} (validation)",
        f"146-2012-2011: {RUNS_2012['146-2012-2011']}",
        ("imagenet", "small"),
        "11",
        f"{NEEDS_IMAGENET} A small version pre-trains and fine-tunes a small network.",
    ),
    Claim(
        "table2-7s",
        "6, Table 2",
        "Seven networks averaged, two of them pre-trained, against the second-best entry (top-1 / top-5 "
        "error).",
        f"{p.SEVEN_CNNS} networks: {p.SEVEN_CNNS_VALIDATION} (validation), top-5 {p.SEVEN_CNNS_TEST_TOP5}% "
        f"(test); second-best entry top-5 {p.RUNNER_UP_2012_TOP5}%",
        "which networks were averaged is not recorded",
        ("imagenet", "small"),
        "11",
        f"{NEEDS_IMAGENET} A small version averages small networks, two of them pre-trained.",
    ),
    Claim(
        "fall2009",
        "6",
        "A network with a sixth convolutional layer on the ImageNet of fall 2009 (top-1 / top-5 error).",
        f"{p.FALL2009} on {p.FALL2009_CLASSES:,} classes, {p.FALL2009_IMAGES / 1e6:g} million images; "
        f"best earlier {p.FALL2009_BEST_EARLIER}",
        f"that network's result is not recorded; 131-2009, without a sixth layer: {RUNS_2012['131-2009']}",
        ("imagenet",),
        "11",
        NEEDS_IMAGENET,
    ),
    Claim(
        "no-pretrain",
        "7",
        "No unsupervised pre-training is used.",
        "none",
        NOTHING,
        (),
        "11",
        "A choice of the method: there is nothing to measure.",
    ),
)

INSIDE = (
    Claim(
        "kernels",
        "6.1, Fig. 3",
        "The first layer learns kernels selective for frequency and orientation, and coloured blobs.",
        f"{p.FIGURE3_KERNELS} kernels of {p.FIGURE3_KERNEL_SIZE}×{p.FIGURE3_KERNEL_SIZE}×3",
        NOTHING,
        ("small",),
        "07",
        "Frequency, orientation and colour of the kernels of small networks trained here.",
    ),
    Claim(
        "specialization",
        "6.1",
        "One GPU's first kernels are largely blind to colour, the other's are not, whatever the seed.",
        "on every run",
        NOTHING,
        ("small",),
        "07",
        "Colour of the kernels per column over many seeds, against kernels dealt to the columns at random.",
    ),
    Claim(
        "top5-panel",
        "6.1, Fig. 4 left",
        "The five most probable labels of some test images.",
        f"{p.FIGURE4_LABELS} labels for each of {p.FIGURE4_TEST_IMAGES} test images",
        "drawn by shownet.py",
        ("small",),
        "08",
        "The same panel for networks trained here.",
    ),
    Claim(
        "neighbours",
        "6.1, Fig. 4 right",
        "Images whose last hidden layers are close in Euclidean distance look alike in kind, though "
        "they are generally not close in pixels.",
        f"{p.FIGURE4_QUERIES} test images, {p.FIGURE4_NEIGHBOURS} nearest training images each",
        "findsimilar.py: 16 nearest by squared distance",
        ("small",),
        "08",
        "Precision of the neighbours in features and in pixels.",
    ),
    Claim(
        "binary-codes",
        "6.1",
        "An auto-encoder could compress the last hidden layer to short binary codes for fast search, "
        "better than one trained on raw pixels.",
        f"from {p.FEATURE_LENGTH} numbers per image; proposed, not tried",
        "nothing recorded; only proposed",
        ("small",),
        "08",
        "Tried: recall and speed against the number of bits.",
    ),
)

CLAIMS: tuple[Claim, ...] = (
    *SIZE,
    *RELU,
    *TWO_GPUS,
    *NORMALIZATION_AND_POOLING,
    *AUGMENTATION,
    *LEARNING,
    *RESULTS,
    *INSIDE,
)

_BY_ID = {claim.id: claim for claim in CLAIMS}


def claim_named(claim_id: str) -> Claim:
    """The claim of that id. Raises ValueError, with the nearest ids, where there is none."""
    if claim_id not in _BY_ID:
        near = difflib.get_close_matches(claim_id, _BY_ID, n=3, cutoff=0.4)
        hint = f"did you mean {', '.join(near)}?" if near else "`alexnet-edu claims` lists them all"
        raise ValueError(f"there is no claim {claim_id!r}; {hint}")
    return _BY_ID[claim_id]
