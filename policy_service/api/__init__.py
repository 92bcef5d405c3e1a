"""HTTP: the FastAPI application, its routes and problem documents."""
