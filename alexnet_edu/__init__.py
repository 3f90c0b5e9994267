"""AlexNet, claim by claim: the code behind the notebooks.

    paper            every published number, with its section
    environment      how much work is done, on which machine, from which commit
    files            files that are whole or not there
    model            the network, its layers, the small ones for CIFAR-10
    data             images: from files to training batches
    training         the loop, the update rule, the schedules
    two_gpus         one network in two columns
    imagenet         the full training
    studies          what is measured, and recorded
    ledger           every claim: paper, log of 2012, ours
    show             drawings and explorers
    exercises        `check("01.1", answer)`, `hint("01.1")`
    lessons          what one notebook alone needs
    cli, doctor      the command `alexnet-edu`, and what works on this machine

Imports go down only; `docs/architecture.md` has the floors. This file imports nothing, so that
`alexnet-edu --help` need not wait for torch: import what you use from its module, as in
`from alexnet_edu.data.cifar10 import load_cifar10`.
"""
