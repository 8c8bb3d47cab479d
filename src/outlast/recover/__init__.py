"""What a cell is made whole from: backups of its journal, restored to an instant."""
