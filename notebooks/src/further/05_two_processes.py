# %% [markdown]
# # Further, 05 · Two processes, and one of them dies
#
# In lesson 05 both columns live in one process. A real training has a process for each GPU. Is it still the same network? How fast is it? And what happens when one of the two dies on the fourth day?

# %%
from alexnet_edu.lessons import two_gpus as lesson
from alexnet_edu.notebook import load, show
from alexnet_edu.two_gpus.check import compare_devices, in_two_processes

record = load("two-columns")

# %% [markdown]
# ## The same network?
#
# One step of a network eight times narrower than the paper's, in float64: logits and all gradients against those of the undivided network. First two devices in one process, then two processes that talk through
# `torch.distributed`.

# %% tags=["nbval-ignore-output"]
found = compare_devices(("cpu", "cpu"), dtype="float64", divisor=8)
print(f"two devices:   logits differ by {found['logits']:.0e}, gradients by {found['gradients']:.0e}")
for rank in in_two_processes("compare", dtype="float64", divisor=8):
    print(
        f"process {rank['rank']} of 2: logits differ by {rank['logits']:.0e}, gradients by {rank['gradients']:.0e}"
    )

# %% [markdown]
# In full width (recorded; gradients relative to the largest one of the same layer):

# %%
print(record.tables["equality"].to_string(index=False, float_format="{:.0e}".format))

# %% [markdown]
# ## How fast?
#
# The network of the paper on one core, with two threads that share each layer, and as two processes with a column each; and, to compare, the half network on one core.

# %%
show(*lesson.seconds_by_form(record))

# %% [markdown]
# On one machine with shared memory, two columns buy about what a second thread buys: the second core. That is no argument for columns. What they buy on GPUs is memory.
#
# ## One of them dies
#
# The worst end to a training of six days would be a process that waits for ever. Here the second one is killed in the middle of a step, between two layers.

# %% tags=["nbval-ignore-output"]
survivor, victim = in_two_processes("lose", divisor=8)
print(survivor["message"].split(" (")[0])
print(
    f"process {survivor['rank']} ended after {survivor['seconds']:.0f} s; process 1 was killed: {victim['returncode']}"
)

# %% [markdown]
# The survivor says who is gone and ends, so that whoever watches can start both again from the last checkpoint (lesson 06).
#
# **On your machine:** `alexnet-edu two-gpus check` does all this and more in two minutes, and says how your GPUs are connected. On processors the two talk through gloo, between two GPUs through NCCL; *the latter has not been
# tried yet*, since no machine with two GPUs was at hand.
#
# **Repeat the record:** `alexnet-edu experiment two-columns`.
