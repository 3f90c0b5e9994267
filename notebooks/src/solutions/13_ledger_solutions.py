# %% [markdown]
# # 13 · Solutions: the ledger
#
# The exercises are in [13](../13_ledger.ipynb).

# %%
from alexnet_edu.notebook import check

# %% [markdown]
# **13.1.** $(0.410580 - 0.406640) \cdot 50{,}000 = 197$ images out of 50,000.

# %%
check("13.1", (0.410580 - 0.406640) * 50_000)

# %% [markdown]
# **13.2.** $0.00394 = 1.96 \sqrt{d / n}$, so $d = n \, (0.00394 / 1.96)^2 \approx 0.20$. Independent mistakes at 41% error would give
# $d = 2 \cdot 0.41 \cdot 0.59 = 0.48$; the small networks of the lesson disagree on nearly 30%. At 30% the gain is 1.6 standard errors. The predictions of 2012 were not
# released, so nobody can tell.

# %%
check("13.2", 50_000 * (0.00394 / 1.96) ** 2)

# %% [markdown]
# **13.3.** The sign of the mean is not enough, and neither is an interval of which only the middle is below 0.


# %%
def rule(mean, low, high):
    return 1 if high < 0 else 0.5 if mean < 0 else 0


check("13.3", rule)

# %% [markdown]
# **13.4.** One pair gives a difference with the standard deviation $s$, the mean of $m$ pairs $s / \sqrt m$. From $g = 1.96 \, s / \sqrt m$ follows
# $m = (1.96 \, s / g)^2$, rounded up. With $s = 0.6$ and $g = 0.4$: 9 pairs, eighteen trainings. And that is optimistic: $s$ must be estimated from the same pairs, so
# Student's $t$ takes the place of 1.96, and half of such experiments would still miss the gain. With one seed for both of a pair, what the seed does to both cancels out, $s$ is
# smaller, and fewer pairs are enough.

# %%
import math


def pairs_needed(s, g):
    return math.ceil((1.96 * s / g) ** 2)


check("13.4", pairs_needed)

# %% [markdown]
# **To discuss.** `table2-1` is one training, tests the whole recipe, and fills in `ten-crop` as well. At 42% the rule says *partly*: within three points. Before doubting the
# paper, look at what was not copied: the preparation of the images, the schedule, the readings of lessons 00 to 05. Then train a second seed.
