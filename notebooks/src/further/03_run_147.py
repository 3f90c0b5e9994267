# %% [markdown]
# # Further, 03 · Run 147, the network without overlap
#
# §3.4 compares $z = 3$ with $z = 2$ at outputs of equal size. The authors' release has the configuration of the second network, run 147, beside that of run 145, the network of the paper. Are they alike?

# %%
from alexnet_edu import paper
from alexnet_edu.ledger.claims import log_gain
from alexnet_edu.model.architecture import output_side
from alexnet_edu.studies.record import as_text

# %% [markdown]
# The paper's sides are odd, and sizes are rounded up. Left alone, $z = 2$ gives larger maps from the first pooling on. So run 147 pads conv2 by 1 in place of 2, and conv5 not at all.


# %%
def sides(z, conv2_padding, conv5_padding):
    """Sides of the maps: conv1, pool1, conv2, pool2 (also conv3 and conv4), conv5, pool3."""
    pool1 = output_side(55, z, 2)
    conv2 = output_side(pool1, 5, 1, conv2_padding)
    pool2 = output_side(conv2, z, 2)
    conv5 = output_side(pool2, 3, 1, conv5_padding)
    return 55, pool1, conv2, pool2, conv5, output_side(conv5, z, 2)


def millions(sides):
    """Multiply-adds of the whole network, in millions."""
    conv1, _, conv2, conv3, conv5, pool3 = sides
    places = [side**2 for side in (conv1, conv2, conv3, conv3, conv5)]
    convolutions = sum(layer.weights * n for layer, n in zip(paper.LAYERS, places))
    return (convolutions + 256 * pool3**2 * 4096 + sum(layer.weights for layer in paper.LAYERS[6:])) / 1e6


networks = {"145": sides(3, 2, 1), "147": sides(2, 1, 0), "z = 2, padded as 145": sides(2, 2, 1)}
heads = ("run", "conv1", "pool1", "conv2", "pool2", "conv5", "pool3", "million multiply-adds")
print(as_text(heads, [(name, *found, f"{millions(found):.1f}") for name, found in networks.items()]))
print(f"\nrun 145 against 147, validation images of 2012: {log_gain('145', '147')} points lower")

# %% [markdown]
# What conv3 and the classifier read has the same size in both runs, 13 and 6. What lies between does not: 26 in place of 27, and 11 in place of 13. The number of weights is the same. So the log's difference is that of overlap *together with* a little more convolution, and with the padding that goes with it.
#
# **What overlap itself costs.** No weights and no multiplications. An output of $z = 3$ needs the largest of 9 values, which is 8 comparisons, where $z = 2$ needs 3.

# %%
outputs = 96 * 27**2 + 256 * 13**2 + 256 * 6**2
work = sum(layer.multiply_adds for layer in paper.LAYERS)
for z in (2, 3):
    comparisons = (z**2 - 1) * outputs
    print(
        f"z = {z}: {comparisons / 1e6:.2f} million comparisons, {comparisons / work:.2%} of the multiply-adds"
    )
