"""Heads: methods on frozen features. One file each."""
