"""What knows no metric: files, a child process, progress, typed YAML, JSONL, words. Its modules are its doors."""
