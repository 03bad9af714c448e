"""What leaves the process: settings, the embedded Postgres, stage runners, notifications."""
