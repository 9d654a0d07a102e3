package report

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// TestBrowser opens the page from disk in a real browser: every picture is
// decoded, nothing is asked of a network, nothing goes wrong, and the page is no
// wider than the window.
func TestBrowser(t *testing.T) {
	browser, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is missing: apt-get install chromium")
	}
	dir := t.TempDir()
	if _, err := WriteAll(dir, underPressure(sample(t)), nil); err != nil {
		t.Fatal(err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(browser), chromedp.NoSandbox,
		chromedp.WindowSize(1000, 800), chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND"))
	ctx, stop := chromedp.NewExecAllocator(context.Background(), options...)
	defer stop()
	ctx, stop = chromedp.NewContext(ctx, chromedp.WithListener(func(event any) {
		switch e := event.(type) {
		case *network.EventRequestWillBeSent:
			if u := e.Request.URL; !strings.HasPrefix(u, "file:") && !strings.HasPrefix(u, "data:") {
				t.Errorf("the page asks for %s", u)
			}
		case *runtime.EventExceptionThrown:
			t.Errorf("the page fails: %v", e.ExceptionDetails)
		}
	}))
	defer stop()
	if err := chromedp.Do(ctx, chromedp.Navigate("file://"+filepath.Join(dir, PageName))); err != nil {
		t.Fatal(err)
	}
	if title := ask[string](t, ctx, `document.title`); title != "Paging of sample -x" {
		t.Errorf("title %q", title)
	}
	pictures := ask[int](t, ctx, `document.images.length`)
	decoded := ask[int](t, ctx, `[...document.images].filter(i => i.complete && i.naturalWidth > 1000 && i.alt).length`)
	if pictures != len(Figures) || decoded != pictures {
		t.Errorf("%d pictures, %d of them decoded and described, want %d", pictures, decoded, len(Figures))
	}
	if ask[bool](t, ctx, `document.documentElement.scrollWidth > window.innerWidth`) {
		t.Error("the page is wider than the window")
	}
}

func ask[T any](t *testing.T, ctx context.Context, expression string) T {
	t.Helper()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		t.Fatal(err)
	}
	return v
}
