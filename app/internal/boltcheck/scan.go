package boltcheck

import "context"

// scanSize is how many bytes scan reads at once.
const scanSize = 1 << 20

// scan verifies every page that is neither free nor verified yet, in the order of
// the file.
func (v *verifier) scan(ctx context.Context) error {
	size := int64(v.meta.PageSize)
	perRead := max(1, scanSize/size)
	buffer := make([]byte, perRead*size)
	for first := int64(0); first < int64(v.meta.Pages); first += perRead {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n := min(perRead, int64(v.meta.Pages)-first)
		if _, err := v.file.ReadAt(buffer[:n*size], first*size); err != nil {
			return unreadable(err)
		}
		for i := range n {
			if id := uint64(first + i); v.kinds[id] == kindUnknown {
				if _, err := v.verifyPage(id, buffer[i*size:(i+1)*size], false); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
