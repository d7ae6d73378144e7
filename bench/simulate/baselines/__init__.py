"""The policies that the field uses, each with the treatment of failures that it has at home.

Where the original needs signals that a hosted model does not give (queue lengths, probes that cost nothing), it gets
what a gateway can see for itself. Where it has a known weakness that is none of the policy's idea, it gets the kinder
reading; both are noted in its file.
"""
