# %% [markdown]
# # Further, 01 · How far can the factor of six be trusted?
#
# Lesson 01 reports that tanh takes 6.7 times as many epochs as ReLU, with a 95% interval of 6.3 to 7.3. Three things could
# make such a number worthless: badly chosen learning rates, too few seeds, and arithmetic that favours one network.

# %%
import torch

from alexnet_edu.lessons import trust as lesson
from alexnet_edu.notebook import load, show
from alexnet_edu.studies import figure1
from alexnet_edu.studies.statistics import bootstrap_ratio

record = load("figure1")

# %% [markdown]
# ## Learning rates
#
# §3.1 chose them independently for each network, and so do we: rates on the grid 1, 2, 5, 10, … are tried with one seed
# until the best has a worse one on either side. An open mark is a run that was stopped before 25%, because another rate had already
# got there.

# %%
show(*lesson.rate_search(record))

# %% [markdown]
# The paper does not say how the network of Figure 1 was initialized, nor exactly how it was built. We take the rule of §5
# and the layers of the authors' CIFAR-10 files.
#
# ## Seeds
#
# The interval is a bootstrap over five seeds a side: it knows how seeds differ, and nothing of how another search might have
# ended. (tanh's was close: 0.01 reached 25% in the last of 41 epochs, and 0.02 stood at 25.3%.) Is it wide enough? Invent runs whose true ratio is 6, with a scatter of 7% (ours have 4 to 10%), and count how often
# the interval holds the 6.

# %%
random, shares = torch.Generator().manual_seed(0), {}
for seeds in (3, 5, 10, 20):
    hits, trials = 0, 300
    for _ in range(trials):
        relu, tanh = (m * (1 + 0.07 * torch.randn(seeds, generator=random)) for m in (6.0, 36.0))
        found = bootstrap_ratio(tanh.tolist(), relu.tolist(), resamples=1_000)
        hits += found.low <= 6 <= found.high
    shares[seeds] = hits / trials
show(*lesson.coverage(shares))

# %% [markdown]
# With three or five seeds, a "95%" interval is too narrow. The reason: a bootstrap resamples the seeds it has, and the
# scatter of three numbers is on average smaller than the scatter they came from. A $t$ interval corrects for this; a
# bootstrap does not. Read ours as a hint of the scatter.
#
# ## Arithmetic
#
# The recorded runs multiply in bfloat16, a number with eight significant bits. The beginning of one tanh run was repeated in
# float32.

# %%
show(*lesson.precision(record))

# %% [markdown]
# ## All the numbers
#
# *Seconds* are processor seconds on one core. They depend a little on what else the machine does, up to a fifth here, so
# epochs are the better measure.

# %%
print(record.origin())
print()
print(figure1.ratios_table(record.tables["ratios"]))
print()
print(figure1.crossings_table(record))
