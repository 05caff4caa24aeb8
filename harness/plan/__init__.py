"""Planning: from a suite file to cells with content ids, and what of them is done."""
