// Package views holds the view files: layout.html and one file for each page.
package views

import "embed"

// Files are the views as they were when the binary was built. A subfolder needs
// a pattern of its own here, such as admin/*.html.
//
//go:embed *.html
var Files embed.FS
