"""The half of mountplan that talks to the kernel, and the only one."""
