"""From a trained run to a folder that devices and a server run without torch."""
