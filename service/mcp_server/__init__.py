"""An MCP server (https://modelcontextprotocol.io) whose tools ask people through a receiver; needs the extra `mcp`."""
