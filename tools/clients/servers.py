def rows(camera, folder, only): return []
