"""Log lines that programs can read."""

import json
import logging
import time


class JsonLines(logging.Formatter):
    """One JSON object a line; what a caller gives as ``extra={"fields": {...}}`` is added."""

    def format(self, record: logging.LogRecord) -> str:
        """Render one record: time (UTC), level, event, fields, and an error's traceback."""
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)
