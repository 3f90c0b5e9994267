"""AlexNet, claim by claim: the code behind the notebooks.

Where to look first:

    paper, ledger, claims    what the paper says, what the 2012 notes say, what came out here
    cifar_net, train         the four-layer network of Figure 1, and the loop that trains it
    layers, model            the paper's normalization, and its network of eight layers
    two_gpu, two_processes   the same network as two columns on two devices
    augment, sgd, schedules  crops and colours; the update rule of §5; when its rate falls
    data                     real CIFAR-10 or the synthetic stand-in, as uint8 tensors
    imagenet, imagenet_train prepared images, and the full training
    run_control              that training as a process of its own, with a dashboard
    experiments, figure1     variants and seeds as resumable runs, and the study of Figure 1
    studies, ablations       the studies of §3.2 to §5 as data, and how they are run
    analysis, plots          tensors in, numbers out; numbers in, pictures out
    widgets, checks          the sliders and the exercises of the notebooks
    doctor, cli              what works on this machine, and the command `alexnet-edu`

`docs/architecture.md` has every module and which may import which. This file imports
nothing, so that `alexnet-edu --help` need not wait for torch: import what you use from its
module, as in `from alexnet_edu.data import load_cifar10`.
"""
