import { extname } from "node:path";

const EXTENSIONS = new Set([".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"]);

/** Whether a file is a picture, by its name. */
export const isPictureName = (name: string): boolean => EXTENSIONS.has(extname(name).toLowerCase());
