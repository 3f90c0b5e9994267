"""Every figure of the paper that this project checks, as published, with its section.

Krizhevsky, Sutskever, Hinton: ImageNet Classification with Deep Convolutional Neural
Networks, NIPS 2012. Error rates are in percent, as printed; gains are percentage points.
The values are the published ones even where they contradict each other: `NEURONS`,
`FIGURE2_NEURONS`, `AUGMENTATION_FACTOR` and `CONV_SHARE_LIMIT` do, and the tests say how.
"""

from __future__ import annotations

from typing import NamedTuple


class Errors(NamedTuple):
    """A pair of error rates, or a difference of two pairs, in percent."""

    top1: float
    top5: float

    def __str__(self) -> str:
        return f"{self.top1:.1f}% / {self.top5:.1f}%"

    @property
    def lower(self) -> str:
        """A difference in words: "top-1 −1.4, top-5 −1.2 points"."""
        return f"top-1 −{self.top1:.1f}, top-5 −{self.top5:.1f} points"


class PublishedLayer(NamedTuple):
    """One layer with weights, over both columns.

    inputs: channels that one kernel sees (its own column's, except in conv3), or units.
    kernel: side of the kernel; 1 in a fully connected layer.
    outputs: kernels, or units.
    side: height and width of the output maps; 1 in a fully connected layer.
    """

    name: str
    inputs: int
    kernel: int
    outputs: int
    side: int

    @property
    def weights(self) -> int:
        return self.inputs * self.kernel**2 * self.outputs

    @property
    def parameters(self) -> int:
        """Weights and one bias for each kernel or unit."""
        return self.weights + self.outputs

    @property
    def neurons(self) -> int:
        return self.outputs * self.side**2

    @property
    def multiply_adds(self) -> int:
        """Multiplications for one image, biases not counted."""
        return self.weights * self.side**2


# --- Abstract and §1: size -------------------------------------------------------------
PARAMETERS = 60_000_000  # abstract
NEURONS = 650_000  # abstract
CONV_SHARE_LIMIT = 0.01  # §1: no convolutional layer holds a larger share of the parameters
DEPTH_LOSS_TOP1 = 2.0  # §1, §7: about, for removing any middle layer

# --- §2: data --------------------------------------------------------------------------
IMAGENET_IMAGES = 15_000_000  # §2: more than
IMAGENET_CATEGORIES = 22_000  # §2: about
TRAINING_IMAGES = 1_200_000  # §2: about
VALIDATION_IMAGES = 50_000  # §2
TEST_IMAGES = 150_000  # §2
CLASSES = 1000  # §2
IMAGE_SIDE = 256  # §2: shorter side scaled to it, then the central square

# --- §3.1, Figure 1: ReLU against tanh on CIFAR-10 ---------------------------------------
FIGURE1_LAYERS = 4  # §3.1
TARGET_TRAINING_ERROR = 0.25  # §3.1, Fig. 1: the level at which the two curves are compared
RELU_SPEEDUP = 6  # §3.1, Fig. 1: tanh needs this many times as long
APPROXIMATE_RELU_CROSSING_EPOCH = 6  # Fig. 1: near this epoch, read off the figure, not stated
APPROXIMATE_TANH_CROSSING_EPOCH = 36  # Fig. 1: near this epoch, read off the figure, not stated

# --- §3.2: two GPUs ----------------------------------------------------------------------
GPU_NAME = "GTX 580"  # §3.2
GPU_MEMORY_GB = 3  # §3.2
GPUS = 2  # §3.2
TWO_GPU_GAIN = Errors(1.7, 1.2)  # §3.2: against one GPU with half as many kernels

# --- §3.3: local response normalization ---------------------------------------------------
LRN_K = 2.0  # §3.3
LRN_N = 5  # §3.3: adjacent kernel maps
LRN_ALPHA = 1e-4  # §3.3: times the plain sum of squares
LRN_BETA = 0.75  # §3.3
LRN_GAIN = Errors(1.4, 1.2)  # §3.3
CIFAR_LAYERS = 4  # §3.3
CIFAR_ERROR_WITHOUT_LRN = 13.0  # §3.3: CIFAR-10 test error
CIFAR_ERROR_WITH_LRN = 11.0  # §3.3: CIFAR-10 test error

# --- §3.4: overlapping pooling --------------------------------------------------------------
POOL_SIZE = 3  # §3.4: z
POOL_STRIDE = 2  # §3.4: s
PLAIN_POOL_SIZE = 2  # §3.4: z without overlap, with the same stride
POOL_GAIN = Errors(0.4, 0.3)  # §3.4

# --- §3.5, Figure 2: the network --------------------------------------------------------------
INPUT_SIDE = 224  # §3.5
CONV1_KERNELS = 96  # §3.5
CONV1_SIZE = 11  # §3.5
CONV1_STRIDE = 4  # §3.5
INPUT_NEURONS = 150_528  # §3.5, Fig. 2
FIGURE2_NEURONS = (253_440, 186_624, 64_896, 64_896, 43_264, 4096, 4096, 1000)  # §3.5, Fig. 2

# What the text leaves open (the sides of the maps, who sees whose maps) is taken from the
# authors' configuration of that network, `layers-145.cfg` in their 2012 source.
LAYERS = (  # §3.5, Fig. 2
    PublishedLayer("conv1", 3, 11, 96, 55),
    PublishedLayer("conv2", 48, 5, 256, 27),
    PublishedLayer("conv3", 256, 3, 384, 13),
    PublishedLayer("conv4", 192, 3, 384, 13),
    PublishedLayer("conv5", 192, 3, 256, 13),
    PublishedLayer("fc6", 9216, 1, 4096, 1),
    PublishedLayer("fc7", 4096, 1, 4096, 1),
    PublishedLayer("fc8", 4096, 1, 1000, 1),
)
ONE_GPU_LAYERS = (  # §3.2: half as many kernels, except in the last convolution
    PublishedLayer("conv1", 3, 11, 48, 55),
    PublishedLayer("conv2", 48, 5, 128, 27),
    PublishedLayer("conv3", 128, 3, 192, 13),
    PublishedLayer("conv4", 192, 3, 192, 13),
    PublishedLayer("conv5", 192, 3, 256, 13),
    *LAYERS[5:],
)

# --- §4.1: augmentation ---------------------------------------------------------------------
AUGMENTATION_FACTOR = 2048  # §4.1: crops and reflections
TEST_PATCHES = 10  # §4.1
WITHOUT_TEN_PATCHES = Errors(39.0, 18.3)  # §6, footnote on the ten patches of §4.1; with them: CNN_2010
COLOR_PCA_STD = 0.1  # §4.1: of the random factor on each eigenvalue
COLOR_PCA_GAIN_TOP1 = 1.0  # §4.1: over

# --- §4.2: dropout ---------------------------------------------------------------------------
DROPOUT = 0.5  # §4.2
DROPOUT_LAYERS = ("fc6", "fc7")  # §4.2: the first two fully connected layers
DROPOUT_TEST_FACTOR = 0.5  # §4.2: outputs are multiplied by it at test time
DROPOUT_ITERATIONS_FACTOR = 2  # §4.2: about, for the iterations to converge

# --- §5: learning ------------------------------------------------------------------------------
BATCH_SIZE = 128  # §5
MOMENTUM = 0.9  # §5
WEIGHT_DECAY = 0.0005  # §5
INIT_STD = 0.01  # §5
BIAS_ONE_LAYERS = ("conv2", "conv4", "conv5", "fc6", "fc7")  # §5: biases start at 1, elsewhere at 0
LEARNING_RATE = 0.01  # §5
LEARNING_RATE_DIVISOR = 10  # §5: when the validation error stops improving
LEARNING_RATE_DROPS = 3  # §5
EPOCHS = 90  # §5: about
TRAINING_DAYS = (5, 6)  # §5: from, to; on two GTX 580

# --- §6, Table 1: ILSVRC-2010, test set ----------------------------------------------------------
SPARSE_CODING_2010 = Errors(47.1, 28.2)  # §6, Table 1
SIFT_FV_2010 = Errors(45.7, 25.7)  # §6, Table 1
CNN_2010 = Errors(37.5, 17.0)  # §6, Table 1; §4.1 gives it as the result with ten patches

# --- §6, Table 2: ILSVRC-2012 ---------------------------------------------------------------------
CNN_2012_VALIDATION = Errors(40.7, 18.2)  # §6, Table 2: 1 CNN
FIVE_CNNS = 5  # §6, Table 2
FIVE_CNNS_VALIDATION = Errors(38.1, 16.4)  # §6, Table 2: 5 CNNs
FIVE_CNNS_TEST_TOP5 = 16.4  # §6, Table 2
PRETRAINED_CNN_VALIDATION = Errors(39.0, 16.6)  # §6, Table 2: 1 CNN*
SEVEN_CNNS = 7  # §6, Table 2
SEVEN_CNNS_VALIDATION = Errors(36.7, 15.4)  # §6, Table 2: 7 CNNs*
SEVEN_CNNS_TEST_TOP5 = 15.3  # §6, Table 2
RUNNER_UP_2012_TOP5 = 26.2  # §6, Table 2

# --- §6: ImageNet of fall 2009 ---------------------------------------------------------------------
FALL2009_CLASSES = 10_184  # §6
FALL2009_IMAGES = 8_900_000  # §6
FALL2009 = Errors(67.4, 40.9)  # §6: with a sixth convolutional layer
FALL2009_BEST_EARLIER = Errors(78.1, 60.9)  # §6

# --- §6.1, Figures 3 and 4 ---------------------------------------------------------------------------
FIGURE3_KERNELS = 96  # §6.1, Fig. 3
FIGURE3_KERNEL_SIZE = 11  # §6.1, Fig. 3: 11×11×3
FIGURE4_TEST_IMAGES = 8  # §6.1, Fig. 4 left
FIGURE4_LABELS = 5  # §6.1, Fig. 4 left: bars for each image
FIGURE4_QUERIES = 5  # §6.1, Fig. 4 right
FIGURE4_NEIGHBOURS = 6  # §6.1, Fig. 4 right
FEATURE_LENGTH = 4096  # §6.1: outputs of the last hidden layer
