"""Operators with weights, and those that become a part of one."""
