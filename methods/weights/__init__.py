"""Weight methods: removable changes of any parameter of the frozen encoders. One file each."""
