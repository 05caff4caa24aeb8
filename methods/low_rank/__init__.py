"""Low-rank methods: ΔW of frozen linears. One file each."""
