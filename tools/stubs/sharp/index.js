throw new Error('This package is a stand-in: it is never used in a browser.');
