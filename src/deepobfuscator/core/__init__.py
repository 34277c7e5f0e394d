"""What everything else is built on: errors, files, configuration, registry, records, runtime."""
