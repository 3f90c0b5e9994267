# %% [markdown]
# # Further, 11 · How to average: probabilities, logits, coefficients
#
# The 2012 code sums the softmax outputs of ten views, divides by ten, and takes the logarithm of *that*. Each of these could have been otherwise.

# %%
import torch

from alexnet_edu.lessons import results as lesson
from alexnet_edu.notebook import load, show
from alexnet_edu.training.predictions import average, contest_lines, log_losses

record = load("results")
show(*lesson.ways_to_average(record))

# %% [markdown]
# **Logits.** Averaging logits is averaging logarithms of probabilities: the geometric mean, as in lesson 09. There one confident "no" is a veto; in the arithmetic mean it is one vote of many:

# %%
votes = torch.tensor([[0.6, 0.4], [0.6, 0.4], [0.001, 0.999]])
for name, mean in {"arithmetic": votes.mean(0), "geometric": votes.log().mean(0).softmax(0)}.items():
    print(f"{name:10} {mean[0]:.2f} against {mean[1]:.2f}")

# %% [markdown]
# For five networks of one kind, vetoes are rare, and the two means agree to about a tenth of a point.
#
# **Coefficients** that were searched are better where they were searched, which proves nothing, and no better elsewhere: five networks of one kind deserve one weight. With networks of different quality it is otherwise (exercise 11.5). And with 50,000 validation images a search fits
# less noise than with our 5,000.
#
# **The logarithm of the mean is not the mean of the logarithms.** $-\log$ is convex, so $-\log \bar p(y) \le \frac1M \sum_m -\log p_m(y)$ for *every* image (Jensen). In cross-entropy an average is never worse than its members are on average. For the error there is no such promise:

# %%
p = torch.tensor(
    [[[0.55, 0.45]], [[0.55, 0.45]], [[0.10, 0.90]]]
)  # three networks, one image, class 0 is right
label = torch.tensor([0])
print(
    f"-log of the mean {log_losses(average(p), label).item():.2f}, mean of the -logs {torch.stack([log_losses(q, label) for q in p]).mean():.2f}"
)
print("right:", (p.argmax(2)[:, 0] == 0).tolist(), "-> the average:", (average(p).argmax(1) == 0).item())

# %% [markdown]
# Nor do the two need to move together. In the record ten patches lower the error and *raise* the cross-entropy a little: very likely because patches that are unsure make the average unsure.

# %%
members = record.tables["errors"].query("variant == 'member'").groupby("view")[["error", "loss"]].mean()
for view in ("centre", "ten"):
    print(f"{view:6} error {members['error'][view]:.1%}, cross-entropy {members['loss'][view]:.3f} nats")

# %% [markdown]
# **Five labels a line.** For the contest, `txt-preds.py` writes the five most probable classes of each test image, numbered from 1, the most probable first:

# %%
print(contest_lines(torch.tensor([[0.1, 0.3, 0.05, 0.2, 0.25, 0.1]]))[0])
