// The chosen theme, before the first paint. A file of its own because the policy forbids inline scripts; the page's theme store does the rest.
try {
  const theme = localStorage.getItem('loupe.theme');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
} catch {
  // Storage refused: the system's theme it is.
}
