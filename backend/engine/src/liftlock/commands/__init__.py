"""Verbs: one public function a file."""
