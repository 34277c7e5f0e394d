"""What no attacker can exceed: bounds from counts of a code's values, without any attacker."""
